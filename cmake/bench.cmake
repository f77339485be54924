# Benchmarks: not part of `all`; `cmake --build BUILD --target bench_kernels`.
if(TARGET room_kernel)
  add_executable(bench_kernels EXCLUDE_FROM_ALL bench/kernels.c ${objects_up_to_kernel})
  target_link_libraries(bench_kernels PRIVATE kata_flags Threads::Threads m)
  target_compile_options(bench_kernels PRIVATE -O3 -ffp-contract=fast)

  add_executable(bench_winograd EXCLUDE_FROM_ALL bench/winograd.c ${objects_up_to_kernel})
  target_link_libraries(bench_winograd PRIVATE kata_flags Threads::Threads m)
  target_compile_options(bench_winograd PRIVATE -O3 -ffp-contract=fast)
endif()
