/* Kata: everything. */
#ifndef KATA_KATA_H
#define KATA_KATA_H

#include <kata/base.h>
#include <kata/data.h>
#include <kata/exec.h>
#include <kata/format.h>
#include <kata/graph.h>
#include <kata/metric.h>
#include <kata/nn.h>
#include <kata/op.h>
#include <kata/pass.h>
#include <kata/predict.h>
#include <kata/tensor.h>
#include <kata/train.h>

#endif
