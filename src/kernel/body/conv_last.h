/* Direct convolution of channels-last tensors. */

static void NAME(conv_last_piece)(const kata__conv_last_piece *piece) {
    (void)piece;
}

static void NAME(conv_last_depthwise)(const kata__conv_last_piece *piece) {
    (void)piece;
}

static const kata__conv_last_table NAME(kata__conv_last) = {
    .lanes = LANES,
    .panel = 2 * LANES,
    .piece = NAME(conv_last_piece),
    .depthwise = NAME(conv_last_depthwise),
};
