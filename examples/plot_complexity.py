"""Local complexity, exactly
=========================

How many regions are there around a latent? Three numbers go by the name of local complexity: the regions in a small
ball, the units that change sign in it, and the units that change sign among the ball's vertices, which is what is
estimated in the literature. Here are all three, for a decoder of handwritten digits with eight latent dimensions.
"""

# %%
# The convolutional decoder from R⁸ to images of 8 × 8 pixels, trained by ``examples/train_digits.py``, and the latents
# of the digits that it was trained on.
import matplotlib.pyplot as plt

import splinegeo as sg
from splinegeo.data import load_arrays
from splinegeo.data.modules import load_digits_decoder

data = load_arrays("digits")
decoder = load_digits_decoder(8)
net = sg.capture(decoder, (8,))
digits = data["latents8"].astype(float)[:40]

# %%
# One ball: exact counts, and the estimate.
for kind in ("regions", "crossing", "vertices"):
    print(sg.local_complexity(net, digits[0], radius=0.1, kind=kind))

# %%
# Over the latents of forty digits and several radii. Regions explode with the radius, crossing units do not, and the
# estimate stays close to these. Beyond a budget, counts of regions are certified lower bounds.
radii = (0.01, 0.02, 0.05, 0.1, 0.2)
found = sg.compare.complexity(net, digits, radii, budget=sg.Budget(regions=20_000))
ax = sg.plot.plot_complexity(found)
ax.set_title("Latents of 40 digits")
plt.show()

# %%
# How often is the estimate wrong, and what does it miss? The worst case, in as few dimensions as show it.
missed = found.table["crossing"] - found.table["vertices"]
for radius in radii:
    here = found.table["radius"] == radius
    print(
        f"radius {radius:g}: {(missed[here] > 0).mean():.0%} of the balls, {missed[here].mean():.2f} units on average"
    )
print(found.witness)

# %%
# A ball with too many regions to count has bounds that are certain, and an estimate that is not.
print(ball := sg.local_complexity(net, digits[0], 0.5, budget=sg.Budget(regions=5_000)))
low, high = ball.interval
print(f"at least {int(ball):,} and at most {float(ball.upper):.2g} regions")
print(f"about {float(ball.estimate):,.0f} of them, {low:,.0f} to {high:,.0f} with 95 % confidence")
