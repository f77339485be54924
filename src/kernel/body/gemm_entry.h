/* The table of one type. */

static const kata__gemm_table NAME(kata__gemm) = {
    .rows = KATA__TILE_ROWS,
    .block_vectors = KATA__BLOCK_VECTORS,
    .columns = KATA__PANEL,
    .lanes = LANES,
    .k_block = KATA__K_BLOCK,
    .piece_space = NAME(piece_space),
    .piece = NAME(gemm_piece),
    .rows_piece = NAME(gemm_rows),
    .dot = NAME(gemm_dot),
    .sum_parts = NAME(sum_parts),
    .conv_panel = NAME(conv_panel),
    .conv_pad = NAME(conv_pad),
    .conv_piece = NAME(conv_piece),
    .conv_weight_piece = NAME(conv_weight_piece),
    .conv_weight_sum = NAME(conv_weight_sum),
    .sum_planes = NAME(sum_planes),
    .max_pool = NAME(max_pool),
    .max_pool_gradient = NAME(max_pool_gradient),
    .average_pool = NAME(average_pool),
    .average_pool_gradient = NAME(average_pool_gradient),
};
