"""Names of the files in a run's folder."""

CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.jsonl"
RESULTS_FILE = "results.json"
CURVE_FILE = "loss_curve.png"
STATE_FILE, PREVIOUS_FILE, DAMAGED_FILE = "last.pt", "previous.pt", "damaged.pt"
BEST_MODEL = "models/best_model.pth"  # of the folder of a run, whatever it trains
FEATURES_FOLDER = "features"
