# The bodies of src/kernel/body are compiled once for each instruction set (src/kernel/isa_*.c).
if(TARGET room_kernel)
  if(KATA_SANITIZE)
    set(level -O1) # -O3 under a sanitizer takes minutes a file
  else()
    set(level -O3)
  endif()
  set(fast ${level} -ffp-contract=fast -fno-math-errno -fno-trapping-math)
  if(KATA_SANITIZE AND CMAKE_C_COMPILER_ID MATCHES "Clang")
    # Clang unrolls what KATA__UNROLL marks whole, nests of loops too, up to 16,384 instructions a loop and before
    # anything is simplified: a unit then takes more than half an hour.
    list(APPEND fast -mllvm -pragma-unroll-threshold=64)
  endif()
  if(KATA_FUZZ) # for the readers: of the kernels the portable ones will do, unchecked (GCC's sanitizers check them)
    list(APPEND fast -fno-sanitize=all)
  endif()
  if(NOT KATA_SANITIZE)
    set_source_files_properties(src/exec/session.c PROPERTIES COMPILE_OPTIONS "-O3")
  endif()
  set_source_files_properties(src/kernel/isa_portable.c PROPERTIES COMPILE_OPTIONS "${fast}")
  if(KATA_FUZZ)
    set_source_files_properties(src/kernel/isa_avx2.c src/kernel/isa_avx512.c src/kernel/isa_avx512_bf16.c src/kernel/isa_amx.c
      PROPERTIES COMPILE_OPTIONS "-U__x86_64__") # nothing is left of them
    set_source_files_properties(src/kernel/table.c PROPERTIES COMPILE_OPTIONS "-DKATA__PORTABLE_ONLY")
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
    set_source_files_properties(src/kernel/isa_avx2.c PROPERTIES COMPILE_OPTIONS "${fast};-mavx2;-mfma;-mf16c;-mbmi2")
    set_source_files_properties(src/kernel/isa_avx512.c PROPERTIES COMPILE_OPTIONS
      "${fast};-mavx2;-mfma;-mf16c;-mbmi2;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mprefer-vector-width=512")
    set_source_files_properties(src/kernel/isa_avx512_bf16.c src/kernel/isa_amx.c PROPERTIES COMPILE_OPTIONS
      "${fast};-mavx2;-mfma;-mf16c;-mbmi2;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512bf16;-mprefer-vector-width=512")
  endif()
endif()
