/* Mean squared and absolute error, R^2. */
#include <math.h>

#include <kata/metric.h>

void kata_regression_add(kata_regression *r, double predicted, double target) {
    if (r->n == 0) {
        r->shift = target;
    }
    double error = predicted - target, t = target - r->shift;
    r->sum_squared_error += error * error;
    r->sum_absolute_error += fabs(error);
    r->sum_target += t;
    r->sum_squared_target += t * t;
    r->n++;
}

double kata_regression_mean_squared_error(const kata_regression *r) {
    return r->n > 0 ? r->sum_squared_error / (double)r->n : 0;
}

double kata_regression_mean_absolute_error(const kata_regression *r) {
    return r->n > 0 ? r->sum_absolute_error / (double)r->n : 0;
}

double kata_regression_r2(const kata_regression *r) {
    double variation =
        r->n > 0 ? r->sum_squared_target - r->sum_target * r->sum_target / (double)r->n : 0;
    return variation > 0 ? 1 - r->sum_squared_error / variation : 0;
}
