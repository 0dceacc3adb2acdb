"""The same step on one device, under pmap, on a mesh, or over several processes."""
