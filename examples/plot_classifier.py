"""Decision boundaries of a classifier
===================================

Where a classifier changes its mind, exactly: the boundaries of a convolutional net with max-pooling, trained on
handwritten digits by ``examples/train_digits.py``, on the plane of images through three digits.
"""

# %%
# The classifier, with its committed weights: 8 × 8 pixels to ten logits.
import matplotlib.pyplot as plt
import numpy as np
from torch import nn

import splinegeo as sg
from splinegeo.data import load_arrays
from splinegeo.data.modules import with_weights

data = load_arrays("digits")

classifier = nn.Sequential(
    nn.Conv2d(1, 4, kernel_size=3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(4, 8, kernel_size=3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(32, 10),
)
net = sg.capture(with_weights(classifier, data, "classifier"), input_shape=(1, 8, 8))
print(net)

# %%
# The plane through a 2, a 3 and a 4, which lie at (0, 0), (1, 0) and (0, 1). A pooled pixel is the largest of four;
# which of the other three comes next is no edge. Where one of those switches on or off there is an edge, but the map
# stays the same: there are far fewer linear regions than regions.
digits = (2, 3, 4)
images = data["images"][digits, 1] / 16
plane = sg.Slice.through(*images.reshape(3, 64))
square = sg.Box([-0.25, -0.25], [1.25, 1.25])
part = sg.partition(net, square, plane)
print(f"{part.n_regions:,} regions, {part.n_linear_regions:,} linear regions")

# %%
# Which class wins is one more maximum, over the ten logits. It has its ties where two classes meet, so that each region
# of the network that ends with it belongs to one class alone, and the decision boundaries are edges of its partition.
largest = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *classifier, nn.Unflatten(1, (1, 10)), nn.MaxPool1d(10))
decided = sg.partition(largest, square, plane)
predicted = net(plane.embed(decided.interior_points)).argmax(1)

inner = decided.edge_regions[:, 1] >= 0
pairs = np.sort(predicted[decided.edge_regions[inner]], axis=1)  # the classes on both sides of each edge
segments = decided.vertices[decided.edge_vertices[inner]]
boundary = segments[pairs[:, 0] != pairs[:, 1]]
lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
for i, j in np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0):
    both = (pairs == (i, j)).all(1)
    print(f"{i} | {j}: {both.sum():4} segments of total length {lengths[both].sum():.3f}")

# %%
# The regions, thin, and the classes: how much of the square each has, and where they meet.
shares = np.bincount(predicted, weights=decided.volumes, minlength=10) / square.volume
palette = plt.cm.tab10(np.arange(10))[:, :3] * 0.5 + 0.5  # pale, so that lines show
figure, ax = plt.subplots(figsize=(7.8, 6.2), layout="compressed")
decided.plot(ax=ax, color=palette[predicted], edges=False)
part.plot(ax=ax, color=None, linewidth=0.15, edgecolor=(0, 0, 0, 0.55))
sg.plot.plot_decision_boundary(boundary, ax=ax)
ax.set(xlim=(-0.25, 1.25), ylim=(-0.25, 1.25), title=f"{part.n_regions:,} regions")
for place, image in zip([(0, 0), (1, 0), (0, 1)], images, strict=True):
    ax.plot(*place, "o", color="white", markeredgecolor="black", zorder=4)
    inset = ax.inset_axes([place[0] + 0.03, place[1] + 0.03, 0.16, 0.16], transform=ax.transData)
    inset.imshow(image, cmap="gray_r")
    inset.set(xticks=[], yticks=[])
for k in np.argsort(-shares)[: np.count_nonzero(shares)]:
    ax.plot([], [], "s", ms=9, color=palette[k], markeredgecolor="black", label=f"{k}   {shares[k]:.1%}")
ax.legend(title="class, share of area", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
plt.show()
