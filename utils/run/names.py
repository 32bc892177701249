"""Names of the files in a run's folder."""

CONFIG_FILE = "config.json"  # settings, command, commit and machine of every session
LOG_FILE = "run.log"
METRICS_FILE = "metrics.jsonl"  # one object per epoch
STATE_FILE, PREVIOUS_FILE, DAMAGED_FILE = "last.pt", "previous.pt", "damaged.pt"  # resumable states
NONFINITE_FILE = "nonfinite.pt"  # the state before a step whose loss or gradient was not finite
MODELS_FOLDER = "models"
BEST_MODEL = f"{MODELS_FOLDER}/best_model.pth"  # weights, whatever the run trains
LAST_WEIGHTS, EMA_WEIGHTS = "ckpt_epoch_last.pth", "ema_last.pth"  # of a pre-training's encoder, in MODELS_FOLDER
BEST_HEADS = f"{MODELS_FOLDER}/heads_best.pth"  # of scripts.pretrain_multiview, beside that
REPLACED_FOLDER = ".replaced"  # of --overwrite until the new run has a state, see utils.run.replaced
FEATURES_FOLDER = "features"  # kept by utils.evaluation.feature_cache
RESULTS_FILE = "results.json"  # figures on the test split
CURVE_FILE = "loss_curve.png"
PREDICTIONS_FILE = "predictions.npz"
TSNE_FILE = "tsne.npz"
PART_CLOUDS_FILE, PART_PICTURE_FILE = "part_clouds.npz", "parts.png"
ROOM_CLOUDS_FILE = "room_clouds.npz"
PIXEL_POINTS_FILE, PIXEL_PICTURE_FILE = "pixel_points.npz", "pixel_points.png"
RETRIEVAL_SHEET_FILE = "retrieval.png"
BOX_PICTURE_FILE = "boxes.png"
PICTURES = (
    *(CURVE_FILE, PREDICTIONS_FILE, TSNE_FILE, PART_CLOUDS_FILE, PART_PICTURE_FILE),
    *(PIXEL_POINTS_FILE, PIXEL_PICTURE_FILE, RETRIEVAL_SHEET_FILE, BOX_PICTURE_FILE),
    ROOM_CLOUDS_FILE,
)
