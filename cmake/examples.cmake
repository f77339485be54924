# examples/ in the build (target `examples`), each one a test; the list of operators in docs/; the test of
# what `cmake --install` leaves.
file(GLOB sources CONFIGURE_DEPENDS examples/*.c)
foreach(source IN LISTS sources)
  get_filename_component(example ${source} NAME_WE)
  list(APPEND KATA_EXAMPLES ${example})
  add_executable(example_${example} EXCLUDE_FROM_ALL examples/${example}.c)
  set_target_properties(example_${example} PROPERTIES OUTPUT_NAME ${example}
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/examples)
  target_link_libraries(example_${example} PRIVATE kata_flags kata_static m)
  list(APPEND example_targets example_${example})
endforeach()
add_custom_target(examples DEPENDS ${example_targets})

# docs/operators.md: cmake --build BUILD --target operators_doc && BUILD/operators_doc > docs/operators.md
add_executable(operators_doc EXCLUDE_FROM_ALL docs/tools/operators.c)
target_link_libraries(operators_doc PRIVATE kata_flags kata_static)

if(KATA_TESTS)
  enable_testing()
  foreach(example IN LISTS KATA_EXAMPLES)
    set(arguments "")
    if(example STREQUAL "predict")
      set(arguments digits.onnx) # what digits saves
    endif()
    add_test(NAME example_${example} COMMAND example_${example} ${arguments}
      WORKING_DIRECTORY ${CMAKE_BINARY_DIR}/examples)
    set_tests_properties(example_${example} PROPERTIES TIMEOUT 600)
  endforeach()
  set_tests_properties(example_digits PROPERTIES FIXTURES_SETUP digits_onnx)
  set_tests_properties(example_predict PROPERTIES FIXTURES_REQUIRED digits_onnx)
  add_test(NAME docs_operators COMMAND sh -c "\"$1\" | diff -u docs/operators.md - ||
    { echo 'docs/operators.md is old: BUILD/operators_doc > docs/operators.md' >&2; exit 1; }"
    sh $<TARGET_FILE:operators_doc> WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_property(GLOBAL APPEND PROPERTY kata_test_targets ${example_targets} operators_doc)
  # A library that carries a sanitizer's calls cannot be linked by a compiler that is not told of it.
  if(NOT KATA_SANITIZE)
    add_test(NAME install COMMAND sh tests/install/test_install.sh ${CMAKE_BINARY_DIR}
      WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(install PROPERTIES TIMEOUT 600)
    set_property(GLOBAL APPEND PROPERTY kata_test_targets kata_static kata_shared)
    if(TARGET kata_readers)
      set_property(GLOBAL APPEND PROPERTY kata_test_targets kata_readers)
    endif()
  endif()
endif()
