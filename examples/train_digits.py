"""Train the small networks that the examples with digits look at.

Three things learn the 1,797 handwritten digits of 8 × 8 pixels that come with scikit-learn (the test set of E. Alpaydin
and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998, CC BY 4.0):

- variational autoencoders with a 2-dimensional and an 8-dimensional latent space, of which the convolutional decoders
  and the latents of the digits are kept;
- a convolutional classifier with max-pooling, kept with three digits of each class.

Run ``python examples/train_digits.py out.npz``: two minutes on one core, the same weights every time on one machine.
This script alone needs scikit-learn, which splinegeo does not depend on. The result of one run is part of the package,
``splinegeo/data/digits.npz``: plain arrays, the weights under the names of the modules' own state dictionaries.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from splinegeo.data.modules import make_decoder


def make_classifier() -> nn.Sequential:
    """Images to ten logits."""
    return nn.Sequential(
        nn.Conv2d(1, 4, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def train_vae(images: torch.Tensor, n_latents: int, steps: int, noise: float) -> tuple[nn.Sequential, torch.Tensor]:
    """A decoder, trained with a normal likelihood of standard deviation ``noise`` a pixel, and the mean latents."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 2 * n_latents))
    decoder = make_decoder(n_latents)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = images[torch.randint(len(images), (256,))]
        mean, log_std = encoder(batch).chunk(2, 1)
        decoded = decoder(mean + log_std.exp() * torch.randn_like(mean))
        misfit = ((decoded - batch) ** 2).sum((1, 2, 3)) / (2 * noise**2)
        divergence = 0.5 * (mean**2 + (2 * log_std).exp() - 1).sum(1) - log_std.sum(1)
        loss = (misfit + divergence).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        latents = encoder(images)[:, :n_latents]
        error = ((decoder(latents) - images) ** 2).mean().sqrt()
    print(f"{n_latents}-dimensional latents: root mean square error {error:.3f} a pixel")
    return decoder, latents


def train_classifier(images: torch.Tensor, labels: torch.Tensor, steps: int = 1500) -> nn.Sequential:
    """A classifier trained on four fifths of the digits; prints its accuracy on the rest."""
    torch.manual_seed(0)
    held_out = torch.arange(len(images)) % 5 == 0
    images, labels, test_images, test_labels = images[~held_out], labels[~held_out], images[held_out], labels[held_out]
    net = make_classifier()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(images), (128,))
        loss = nn.functional.cross_entropy(net(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        print(
            f"classifier: accuracy {(net(test_images).argmax(1) == test_labels).float().mean():.3f} on held-out digits"
        )
    return net


if __name__ == "__main__":
    torch.set_num_threads(1)
    digits = load_digits()
    images = torch.tensor(digits.images[:, None] / 16, dtype=torch.float32)
    labels = torch.tensor(digits.target)
    kept = np.stack([np.flatnonzero(digits.target == k)[:3] for k in range(10)])
    result = {"labels": digits.target.astype(np.uint8), "images": np.rint(digits.images[kept]).astype(np.uint8)}
    for n_latents in (2, 8):
        decoder, latents = train_vae(images, n_latents, steps=6000, noise=0.2)
        result |= {f"decoder{n_latents}.{name}": w.numpy() for name, w in decoder.state_dict().items()}
        result[f"latents{n_latents}"] = latents.numpy().astype(np.float16)  # where to look, to three digits
    result |= {f"classifier.{name}": w.numpy() for name, w in train_classifier(images, labels).state_dict().items()}
    np.savez_compressed(sys.argv[1], **result)
