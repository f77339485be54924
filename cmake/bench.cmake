# Benchmarks: not part of `all`; `cmake --build BUILD --target bench_kernels`.
if(TARGET room_kernel)
  foreach(name kernels conv_nhwc_weight winograd)
    add_executable(bench_${name} EXCLUDE_FROM_ALL bench/${name}.c ${objects_up_to_kernel})
    target_link_libraries(bench_${name} PRIVATE kata_flags Threads::Threads m)
    target_compile_options(bench_${name} PRIVATE -O3 -ffp-contract=fast)
  endforeach()
  # Other libraries' products beside ours; it opens what it finds of them (bench/peers/gemm.c).
  add_executable(bench_peers_gemm EXCLUDE_FROM_ALL bench/peers/gemm.c ${objects_up_to_kernel})
  target_link_libraries(bench_peers_gemm PRIVATE kata_flags Threads::Threads m ${CMAKE_DL_LIBS})
endif()
