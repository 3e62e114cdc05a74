"""The surface of a signed distance function
=========================================

A network of three inputs cuts space into polyhedra. All of them are found exactly, and so is the surface on which a
signed distance function vanishes: not as a sampled isosurface but as the polygons that it really consists of. Here it
is the torus of ``examples/train_sdf.py``.
"""

# %%
# The 3-32-32-1 network and its regions in the cube [-1, 1]³. ``sg.partition`` goes by the domain: a box in three
# dimensions gives a ``SpacePartition``.
import matplotlib.pyplot as plt
import numpy as np

import splinegeo as sg
from splinegeo.data import load_shipped_network

net = load_shipped_network("torus_sdf")
cube = sg.Box([-1, -1, -1], [1, 1, 1])
part = sg.partition(net, cube)
vertices, edges, facets, regions = part.f_vector()
print(part)
print(
    f"{vertices:,} vertices - {edges:,} edges + {facets:,} facets - {regions:,} regions = {part.euler_characteristic}"
)

# %%
# The zero set. Only regions that it meets are enumerated. Its polygons share their vertices and edges, so it is closed
# by construction; the Euler characteristic 0 says that it is a torus indeed.
surface = sg.zero_set(net, cube)
ring, tube = 0.6, 0.25
print(surface, "watertight" if surface.is_watertight else "open", "Euler characteristic", surface.euler_characteristic)
print(f"area {surface.area:.4f}, of the true torus {4 * np.pi**2 * ring * tube:.4f}")
print(f"volume {surface.volume:.4f}, of the true torus {2 * np.pi**2 * ring * tube**2:.4f}")
assert surface.is_watertight
assert surface.euler_characteristic == 0

# %%
# Left: each polygon is flat, a facet between a region inside and one outside; colours tell polygons apart. Right: the
# regions on the outside of the cube, coloured by the length of the network's gradient, which is 1 for a true distance.
figure = plt.figure(figsize=(12, 5), layout="constrained")
ax = figure.add_subplot(1, 2, 1, projection="3d")
shades = np.random.default_rng(0).uniform(0.75, 1.0, (surface.n_faces, 1)) * [0.56, 0.72, 0.87]
surface.plot(ax=ax, color=shades)
ax.view_init(45, -60)
ax.set_title(f"{surface.n_faces:,} polygons")
gradient = np.linalg.norm(part.affine_maps()[0][:, 0], axis=1)
ax = figure.add_subplot(1, 2, 2, projection="3d")
part.plot(ax=ax, color=gradient, cmap="RdBu_r", limits=(0.5, 1.5), label=r"length of the gradient $\|\nabla f\|$")
ax.set_title(f"{part.n_regions:,} regions")
plt.show()

# %%
# A section: the same network on a plane, with the zero set as a line. ``surface.save("torus.ply")`` writes the mesh for
# other programs.
plane = sg.Slice([0, 0, 0], [[1, 0], [0, 0], [0, 1]])
section = part.section(plane, sg.Box([-1, -1], [1, 1]))
ax = section.plot(color=lambda p: p.network(p.slice.embed(p.interior_points))[:, 0], cmap="RdBu", label="distance")
sg.plot.plot_decision_boundary(section, 0, ax=ax)
ax.set(xlabel="$x$", ylabel="$z$", title="$y = 0$")
plt.show()
