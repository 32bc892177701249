"""The recorded results in the README's short table; docs/results.md has all of them."""

_BUILT_IN = {"data": "built-in", "dataset": "scanobjectnn", "metric": "accuracy", "run": "quickstart"}
_SHAPES = {"run": "real shapes: label_free", "metric": "accuracy", "k": "15"}
_PROGRAMS = {**_SHAPES, "run": "real shapes: programs"}
_FAIR = {"task": "linear_svm", "protocol": "fair"}
_PUBLISHED = {"task": "linear_svm", "protocol": "published"}
_PARTS = {"task": "part_segmentation", "protocol": "category_parts", "metric": "miou_instance"}
_RETRIEVAL = {"task": "retrieval", "protocol": "image_to_shape", "metric": "recall_1"}
# What the table calls the task, and the values of the columns that select its line.
FRONT_PAGE: tuple[tuple[str, dict[str, str]], ...] = (
    ("linear SVM, fair", {**_BUILT_IN, **_FAIR}),
    ("linear SVM, fair", {**_BUILT_IN, **_FAIR, "run": "multiview", "model": "dgcnn"}),
    ("linear SVM, published", {**_BUILT_IN, **_PUBLISHED}),
    ("nearest neighbour", {**_BUILT_IN, "task": "nearest_neighbour"}),
    ("few-shot, 5-way 10-shot", {**_BUILT_IN, "setting": "5-way 10-shot, 20 queries, 50 runs"}),
    ("few-shot, 10-way 20-shot", {**_BUILT_IN, "setting": "10-way 20-shot, 20 queries, 50 runs"}),
    ("fine-tuning, 5 % of labels", {**_BUILT_IN, "task": "finetune_cls"}),
    ("linear SVM, fair", {**_BUILT_IN, **_FAIR, "dataset": "modelnet40"}),
    ("part segmentation, 10 % of labels, instance mIoU", {"run": "quickstart", **_PARTS}),
    ("retrieval, picture to shape, recall@1 of 256", {"data": "built-in", **_RETRIEVAL}),
    ("linear SVM, fair", {**_SHAPES, **_FAIR}),
    ("linear SVM, published", {**_SHAPES, **_PUBLISHED}),
    ("nearest neighbour", {**_SHAPES, "task": "nearest_neighbour"}),
    ("linear SVM, fair", {**_PROGRAMS, **_FAIR}),
    ("nearest neighbour", {**_PROGRAMS, "task": "nearest_neighbour"}),
)
