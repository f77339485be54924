# Installation: the library (static and shared), headers, pkg-config file, CMake package, the program.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(kata_shared SHARED ${library_objects})
set_target_properties(kata_shared PROPERTIES OUTPUT_NAME kata VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
target_link_libraries(kata_shared PUBLIC Threads::Threads m PRIVATE $<BUILD_INTERFACE:kata_flags>)
target_include_directories(kata_shared PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)

set_target_properties(kata_static PROPERTIES EXPORT_NAME kata_static)
set_target_properties(kata_shared PROPERTIES EXPORT_NAME kata)
install(TARGETS kata_static kata_shared EXPORT kata
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT kata NAMESPACE kata:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kata FILE kata-targets.cmake)
configure_package_config_file(cmake/kata-config.cmake.in ${CMAKE_BINARY_DIR}/kata-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kata)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/kata-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/kata-config.cmake ${CMAKE_BINARY_DIR}/kata-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kata)
configure_file(cmake/kata.pc.in ${CMAKE_BINARY_DIR}/kata.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/kata.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(DIRECTORY include/kata DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET kata)
  install(TARGETS kata RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
