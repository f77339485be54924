/* Getting a known data set: several mirrors, resumed, checked. */
#ifndef KATA_TOOL_DOWNLOAD_H
#define KATA_TOOL_DOWNLOAD_H

#include "data/known.h"
#include "tool/tool.h"

/* Fetches what is missing of `set` into `folder`. What is there with the right contents is left
 * alone; a half file (.part) is gone on with. */
kata_status kata__download_set(kata__tool *tool, const kata__known_set *set, const char *folder);

#endif
