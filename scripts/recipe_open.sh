# To be sourced: the flags of the pre-training whose weights ship in pretrained/, without data, model and seed. Nothing with
# labels may be among them. RECIPE="FLAG VALUE ..." in the environment replaces them.
RECIPE=${RECIPE:---num_points 512 --image_size 64 --image_depth 18 --batch_size 32 --epochs 28 --crop_min 0.4 --ema_decay 0.99}
