# The ONNX project's own operator tests, from the data folder (KATA_DATA); skipped where they are not.
add_executable(onnx_nodes EXCLUDE_FROM_ALL tests/onnx/nodes.c)
target_link_libraries(onnx_nodes PRIVATE kata_flags kata_static Threads::Threads m)
set_property(GLOBAL APPEND PROPERTY kata_test_targets onnx_nodes)
add_test(NAME onnx_nodes COMMAND sh tests/onnx/test_nodes.sh $<TARGET_FILE:onnx_nodes> WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(onnx_nodes PROPERTIES TIMEOUT 900 SKIP_REGULAR_EXPRESSION "^SKIPPED: ")
