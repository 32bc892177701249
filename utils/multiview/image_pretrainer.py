"""Pre-training of an image network on top of the training loop: the last network is kept, and copies."""

from utils.pretraining.pretrainer import Pretrainer


class ImagePretrainer(Pretrainer):
    """One run of MultiViewImages; nothing scores it between the epochs."""

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Keep the network of the last epoch, and copies when they are due."""
        if epoch + 1 == self.settings.epochs:
            self.save_weights(self.method.weights()["teacher"], "teacher_last.pth")
        elif self.settings.save_freq and epoch % self.settings.save_freq == 0:
            self.save_weights(self.method.weights()["teacher"], f"teacher_epoch_{epoch}.pth")
        return {}
