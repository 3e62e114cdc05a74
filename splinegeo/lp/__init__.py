"""The engine of linear programmes: regions over balls of many dimensions, and over boxes of seven or more.

It needs neither vertices nor facets. Units that keep their side over the domain are folded away, then the domain is cut
hinge by hinge, with a point kept in each cell: one small linear programme says whether the other side of a hinge has
points, too. Floating point proposes, error bounds prove, and rationals settle what is left.
"""
