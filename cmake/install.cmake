# Installation: the library (static and shared), the readers, headers, pkg-config files, CMake package, the
# program. Everything finds itself by relative paths: `cmake --install BUILD --prefix DIR` and a moved DIR work.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(kata_shared SHARED ${library_objects})
set_target_properties(kata_shared PROPERTIES OUTPUT_NAME kata VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
target_link_libraries(kata_shared PRIVATE Threads::Threads m $<BUILD_INTERFACE:kata_flags>)
target_include_directories(kata_shared PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)

# kata::kata is the shared library, kata::kata_static the other.
set_target_properties(kata_static PROPERTIES EXPORT_NAME kata_static)
set_target_properties(kata_shared PROPERTIES EXPORT_NAME kata)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/kata)
set(pkgconfig_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(TARGETS kata_static kata_shared EXPORT kata
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT kata NAMESPACE kata:: DESTINATION ${package_folder} FILE kata-targets.cmake)
install(DIRECTORY include/kata DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# The readers know libkata from the inside, which the shared library does not show: they go with the static one.
if(TARGET kata_readers)
  set_target_properties(kata_readers PROPERTIES INTERFACE_LINK_LIBRARIES
    "$<INSTALL_INTERFACE:kata::kata_static>;PkgConfig::ZLIB;PkgConfig::PNG;PkgConfig::JPEG")
  install(TARGETS kata_readers EXPORT kata_readers ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT kata_readers NAMESPACE kata:: DESTINATION ${package_folder} FILE kata-readers-targets.cmake)
endif()

configure_package_config_file(cmake/kata-config.cmake.in ${CMAKE_BINARY_DIR}/kata-config.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/kata-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/kata-config.cmake ${CMAKE_BINARY_DIR}/kata-config-version.cmake
  DESTINATION ${package_folder})

# pkg-config says where a .pc file lies (pcfiledir); from there the rest is a relative path.
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_PREFIX}/${pkgconfig_folder} ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/kata.pc.in ${CMAKE_BINARY_DIR}/kata.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/kata.pc DESTINATION ${pkgconfig_folder})
if(TARGET kata_readers)
  configure_file(cmake/kata-readers.pc.in ${CMAKE_BINARY_DIR}/kata-readers.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/kata-readers.pc DESTINATION ${pkgconfig_folder})
endif()

if(TARGET kata)
  install(TARGETS kata RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
