# Benchmarks: not part of `all`; `cmake --build BUILD --target bench_kernels`.
if(TARGET room_kernel)
  foreach(name kernels conv_last_weight winograd)
    add_executable(bench_${name} EXCLUDE_FROM_ALL bench/${name}.c ${objects_up_to_kernel})
    target_link_libraries(bench_${name} PRIVATE kata_flags Threads::Threads m)
    target_compile_options(bench_${name} PRIVATE -O3 -ffp-contract=fast)
  endforeach()
endif()
