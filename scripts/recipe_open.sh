# To be sourced: how the weights of pretrained/ are made, without data, model and seed. Nothing with labels may be among the
# flags. Each may be replaced from the environment.
RECIPE=${RECIPE:---cmid_weight 0 --rotation none --num_points 384 --batch_size 32 --epochs 18 --image_depth 18 --amp bf16}
K=${K:-15}              # neighbours per point in training
USED_K=${USED_K:-30}    # and in use, on clouds of 1,024 points and more, which lie closer together
FEATURES=${FEATURES:---copies 2 --whiten 0.003}  # how features are scored, random ones as well
