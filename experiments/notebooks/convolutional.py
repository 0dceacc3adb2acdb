# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---
# %% [markdown]
# # Convolutional networks
#
# A walk through the convolutional chapters of the notes with the functions of the library: what a
# kernel does to a photograph, the matrix that a convolution is, what an output can see, what stays the
# same when the input moves, and what trained networks make of all this. What the notes claim about
# these things is measured elsewhere, in `experiments/convolutional`.
# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch, Rectangle
from sklearn.datasets import load_sample_image

from dlnotes import analysis, data, layers, models, outputs
from dlnotes.data.time_series.sound import spectrogram as spectrogram_of
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, PURPLE, STYLE
from dlnotes.training import Recipe, fit, optimizer, predict
from dlnotes.training.schedules import one_cycle

plt.rcParams.update(STYLE)


def draw(ax, image, title="", **how):
    ax.imshow(image, **{"cmap": "gray", "interpolation": "nearest"} | how)
    ax.set_title(title, fontsize=10)
    ax.set(xticks=(), yticks=())
    ax.grid(False)
    for side in ax.spines.values():
        side.set_visible(False)


# %% [markdown]
# ## Kernels at work
#
# `layers.convolve` slides a kernel over a batch of signals, here one photograph. Its colors are three
# channels; as gray values it has one. Each kernel below is nine numbers, or a few more for the blur, and
# each output is a sum over a neighborhood of pixels times these numbers.

# %%
picture = load_sample_image("china.jpg")[:360, 120:600].astype(np.float32) / 255
color = layers.avg_pool(jnp.asarray(picture)[None], 2)[0]
photo = color.mean(-1)

line = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)
blur = np.outer(line, line) / line.sum() ** 2
across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4  # from left to right: upright edges
edges = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
sharpen = np.pad([[2.0]], 4) - blur  # twice the image minus the blurred one


def filtered(image, kernel, **how):
    """A gray image ``(height, width)`` through one kernel ``(k, l)``."""
    kernel = jnp.asarray(kernel, jnp.float32)
    return layers.convolve(image[None, :, :, None], kernel[:, :, None, None], **how)[0, :, :, 0]


figure, axes = plt.subplots(2, 3, figsize=(9, 4.8), layout="constrained")
draw(axes[0, 0], color, "the photograph")
draw(axes[0, 1], filtered(photo, blur), "blur: weights of a Gaussian", vmin=0, vmax=1)
draw(axes[0, 2], filtered(photo, sharpen), "sharpen: 2 in the middle minus the blur", vmin=0, vmax=1)
draw(axes[1, 0], filtered(photo, across), "right minus left: upright edges", vmin=-0.5, vmax=0.5)
draw(axes[1, 1], filtered(photo, across.T), "below minus above: level edges", vmin=-0.5, vmax=0.5)
draw(axes[1, 2], jnp.abs(filtered(photo, edges)), "4 minus the neighbors: all edges", vmin=0, vmax=0.6)
plt.show()

# %% [markdown]
# The same operation gives all of these; only the numbers differ. The pillars are left by the first edge
# kernel and gone in the second, which keeps the eaves and the steps. A network learns the numbers.
#
# **Convolution or cross-correlation.** What deep learning calls a convolution does not turn the kernel
# round. The response to a single bright point shows which is which: the convolution proper prints the kernel
# where the point was, the cross-correlation prints it turned by half a circle. Only the first commutes.

# %%
letter = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]], np.float32)
point = jnp.zeros((11, 11)).at[5, 5].set(1)
proper = filtered(point, letter, flip=True)
figure, axes = plt.subplots(1, 4, figsize=(9, 2.5), layout="constrained")
draw(axes[0], np.pad(letter, ((3, 3), (4, 4))), "the kernel K")
draw(axes[1], point, "a point x")
draw(axes[2], proper, "x ∗ K, convolution")
draw(axes[3], filtered(point, letter), "x ⋆ K, cross-correlation")
plt.show()

full = {"flip": True, "padding": ((4, 4), (2, 2))}
swapped = {"flip": True, "padding": ((10, 10), (10, 10))}
patch = photo[:11, :11]
gap = jnp.max(jnp.abs(filtered(patch, letter, **full) - filtered(jnp.asarray(letter), patch, **swapped)))
print(f"x ∗ K and K ∗ x differ by {float(gap):.1e}")

# %% [markdown]
# ## Convolution as a matrix
#
# A convolution is linear, so it is a matrix, most of whose entries are 0 and the others equal in
# diagonals: a Toeplitz matrix for a signal with zeros beyond its ends, a circulant one where the signal
# repeats. For an image whose rows are laid end to end it is circulant in blocks, and each block is
# circulant: here for the kernel of the notes on an image of 6 × 6.

# %%
kernel = jnp.array([1.0, 2.0, 4.0, 3.0])
figure, axes = plt.subplots(1, 3, figsize=(9, 3.5), layout="constrained")
draw(axes[0], layers.toeplitz(kernel, 10), "Toeplitz: 10 values to 13", cmap="Blues")
draw(axes[1], layers.circulant(kernel, 13), "circulant: 13 to 13", cmap="Blues")
blocks = layers.doubly_block_circulant(jnp.asarray(edges, jnp.float32), (6, 6))
draw(axes[2], blocks, "doubly block circulant: 36 to 36", cmap="RdBu", vmin=-4, vmax=4)
for edge in np.arange(6, 36, 6) - 0.5:
    axes[2].axhline(edge, color=GRAY, lw=0.4)
    axes[2].axvline(edge, color=GRAY, lw=0.4)
plt.show()

# %% [markdown]
# Waves go through a circulant matrix unchanged but for a factor. So the eigenvectors are the waves of
# the Fourier transform, whatever the kernel, and the eigenvalues are the transform of the kernel: on the
# left, those that a general solver finds in the matrix lie on those of `circulant_eigenvalues`. For the
# photograph's kernels they can be drawn over the frequencies: blurring keeps the slow waves in the
# middle, the edge kernel those at the rim.

# %%
found = np.linalg.eigvals(np.asarray(layers.circulant(kernel, 13)))
told = layers.circulant_eigenvalues(kernel, 13)
figure, axes = plt.subplots(1, 3, figsize=(9, 3.1), layout="constrained")
axes[0].plot(found.real, found.imag, "o", color=BLUE, ms=8, mfc="none", label="of the matrix")
axes[0].plot(told.real, told.imag, "x", color=ORANGE, label="transform of the kernel")
axes[0].set(xlabel="real part", ylabel="imaginary part", aspect="equal", ylim=(-9, 15))
axes[0].set_title("eigenvalues", fontsize=10)
axes[0].legend(loc="upper left", fontsize=8)
for ax, name, k in ((axes[1], "blur", blur), (axes[2], "edge", edges)):
    gain = jnp.abs(layers.circulant_eigenvalues(jnp.asarray(k, jnp.float32), (64, 64))).reshape(64, 64)
    draw(ax, np.fft.fftshift(gain), f"{name} kernel: size of each eigenvalue", cmap="viridis")
    ax.set_xlabel("frequency, 0 in the middle")
plt.show()

small, tiny = photo[:24, :32], jnp.asarray(edges, jnp.float32)
dense = layers.doubly_block_circulant(tiny, (24, 32)) @ small.reshape(-1)
free = layers.periodic_convolution(small, tiny)
print(f"dense and matrix-free differ by {float(jnp.max(jnp.abs(dense.reshape(small.shape) - free))):.1e}")
print(f"the matrix of the whole photograph would hold {photo.size**2 * 4 / 1e9:.0f} GB")

# %% [markdown]
# ## Few connections, shared
#
# The same 28 × 28 outputs from 28 × 28 inputs, three ways. A dense layer has a weight for each pair; one
# with local connections only has nine for each output; a convolution has nine. A network's own program
# says how much it computes, `dlnotes show` prints the same table for a config.

# %%
net = models.conv_net((28, 28, 1), 10, stages=[models.Stage(16, pool=2), models.Stage(32, pool=2)])
m = 28 * 28
print(f"{'dense':>20} {m * m:8,} weights {m * m:8,} multiply-adds")
print(f"{'locally connected':>20} {9 * m:8,} weights {9 * m:8,} multiply-adds")
print(f"{'convolution':>20} {9:8,} weights {9 * m:8,} multiply-adds\n")
for row in analysis.by_layer(net, np.zeros((1, 28, 28, 1), np.float32)):
    shape = " × ".join(map(str, row.output[1:]))
    print(f"{row.name:>26} {shape:>12} {row.parameters:7,} {row.multiply_adds:9,} sees {row.sees or 'all'}")

# %% [markdown]
# ## What an output can see
#
# Sizes and receptive fields follow from kernels, strides and dilations alone. Below, the color is the
# gradient of the output in the middle by each pixel of the input, of stacks with random weights; the frame
# is what `stack_geometry` says. Nothing is ever outside, and the frame is tight.

# %%
SIZE = 33
conv = layers.Window(3, padding=(1, 1))
wide = [layers.Window(3, dilation=d, padding=(d, d)) for d in (1, 2, 4)]
stacks = {
    "three 3 × 3 kernels": [conv] * 3,
    "the first with stride 2": [conv._replace(stride=2), conv, conv],
    "dilation 1, 2, 4": wide,
    "pooling by 2 after each": [conv, layers.Window(2, 2), conv, layers.Window(2, 2), conv],
}


def through(x, stack, key):
    for window, k in zip(stack, jax.random.split(key, len(stack))):
        if window.size == 2:
            x = layers.avg_pool(x, 2)
        else:
            w = jax.random.uniform(k, (window.size, window.size, 1, 1), minval=0.6, maxval=1.4)
            options = {"stride": window.stride, "dilation": window.dilation}
            x = layers.convolve(x, w, padding=(window.padding,) * 2, **options)
    return x


figure, axes = plt.subplots(1, 4, figsize=(9.5, 2.9), layout="constrained")
for ax, (name, stack) in zip(axes, stacks.items()):
    last = layers.stack_geometry((SIZE, SIZE), stack)[-1]
    middle, field = last.sizes[0] // 2, last.fields[0]

    def central(x, stack=stack, middle=middle):
        return through(x, stack, jax.random.key(0))[0, middle, middle, 0]

    support = jax.jit(jax.grad(central))(jnp.ones((1, SIZE, SIZE, 1)))[0, :, :, 0]
    draw(ax, np.where(support > 0, support / support.max(), np.nan), name, cmap="YlGnBu", vmin=-0.2)
    first = field.start + middle * field.stride
    ax.add_patch(
        Rectangle((first - 0.5, first - 0.5), field.size, field.size, fill=False, color=ORANGE, lw=1.8)
    )
    ax.set(xlim=(-0.5, SIZE - 0.5), ylim=(SIZE - 0.5, -0.5))
    ax.set_xlabel(f"{field.size} × {field.size} pixels, every {field.stride}")
    rows, columns = np.nonzero(np.asarray(support))
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == field.size
    for side in ax.spines.values():
        side.set(visible=True, color="#CCCCCC")
plt.show()

# %% [markdown]
# The weight within the field is not even: pixels in the middle reach the output along many more paths than
# those at the rim. Without strides a field grows by the same number at every layer; dilations or
# poolings that double make it grow by a factor.

# %%
depth = np.arange(1, 9)
plain = [layers.receptive_field([conv] * n).size for n in depth]
pooled = [layers.receptive_field([conv, layers.Window(2, 2)] * n).size for n in depth]
dilated = [layers.receptive_field([layers.Window(3, dilation=2**i) for i in range(n)]).size for n in depth]
figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for sizes, color_of, marker, name in (
    (plain, BLUE, "o", "3-kernels"),
    (pooled, ORANGE, "s", "3-kernels, each pooled by 2"),
    (dilated, GREEN, "^", "3-kernels, dilation doubling"),
):
    ax.plot(depth, sizes, marker + "-", color=color_of, label=name)
ax.set(yscale="log", xlabel="layers", ylabel="inputs that one output sees")
ax.set_yticks([3, 10, 30, 100, 300, 1000], ["3", "10", "30", "100", "300", "1000"])
ax.legend()
plt.show()

# %% [markdown]
# ## Equivariance
#
# Shift the input, and the map shifts along: $f(g(I)) = g(f(I))$, exactly, where the image repeats at its
# border. Turn the input, and the map is another one, for the kernel was not turned. It says "upright edge"
# of edges that were level before.

# %%
crop = photo[30:150, :120]
periodic = {"padding": "CIRCULAR"}


def shifted(image):
    return jnp.roll(image, (15, 30), (0, 1))


edge_map = jnp.abs(filtered(crop, across, **periodic))
figure, axes = plt.subplots(2, 4, figsize=(9, 4.8), layout="constrained")
for row, (name, move) in zip(axes, (("shifted", shifted), ("turned", jnp.rot90))):
    after, before = jnp.abs(filtered(move(crop), across, **periodic)), move(edge_map)
    draw(row[0], move(crop), f"the image {name}")
    draw(row[1], after, f"map of the {name} image", vmax=0.5)
    draw(row[2], before, f"map, then {name}", vmax=0.5)
    draw(row[3], jnp.abs(after - before), "difference", vmin=0, vmax=0.5)
    row[3].set_xlabel(f"at most {float(jnp.max(jnp.abs(after - before))):.2g}")
plt.show()

# %% [markdown]
# ## Invariance
#
# Pooling throws away where in its window the largest value stood. Below is one row of the photograph's
# edge map, and the same one pixel further. Most values of the map have changed, but for the zeros; of those
# pooled over five positions most are what they were, because their largest value is still in the window.

# %%
row = jax.nn.relu(filtered(photo, across))[75, 10:50]
moved = jax.nn.relu(filtered(jnp.roll(photo, 1, 1), across))[75, 10:50]


def pooled_row(values, width=5):
    return layers.max_pool(values[None, :, None], (width,), 1, "SAME")[0, :, 0]


figure, axes = plt.subplots(2, 1, figsize=(9, 4), sharex=True, layout="constrained")
for ax, f, name in ((axes[0], lambda v: v, "detector"), (axes[1], pooled_row, "largest of 5")):
    a, b = f(row), f(moved)
    same = float(jnp.mean(jnp.abs(a - b) < 1e-3))
    ax.step(np.arange(len(a)), a, where="mid", color=BLUE, label="the image")
    ax.step(np.arange(len(a)), b, where="mid", color=ORANGE, ls="--", label="one pixel further")
    ax.set_title(f"{name}: {same:.0%} of the values are the same", fontsize=10)
axes[0].legend()
axes[1].set_xlabel("position in the row")
plt.show()

# %% [markdown]
# A maximum over *filters* can learn to ignore other changes. Twelve filters here look for a bar, each at
# its own angle (set by hand; `C6.9` measures learned ones). Each answers only near its own angle, their
# maximum at every angle: invariance to rotation.

# %%
grid_y, grid_x = np.mgrid[-7:8, -7:8]


def bar(angle):
    t = np.deg2rad(angle)
    return np.exp(-0.5 * ((-np.sin(t) * grid_x + np.cos(t) * grid_y) / 1.2) ** 2) * (
        np.hypot(grid_x, grid_y) < 7
    )


def without_mean(a):
    return a - a.mean((-2, -1), keepdims=True)


bank = without_mean(np.stack([bar(a) for a in np.arange(0, 180, 15)]))
turned = np.stack([bar(a) for a in range(0, 181, 2)]).astype(np.float32)[..., None]
weights = jnp.asarray(bank / np.sum(bank * bank, (1, 2), keepdims=True), jnp.float32)
weights = jnp.moveaxis(weights, 0, -1)[:, :, None]
answers = layers.convolve(jnp.asarray(turned), weights, padding="VALID")
best = layers.channel_max_pool(answers, 12)[:, 0, 0, 0]
figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3), layout="constrained", gridspec_kw={"width_ratios": [1, 2]}
)
tiles = bank.reshape(3, 4, 15, 15).transpose(0, 2, 1, 3).reshape(45, 60)
draw(left, tiles, "twelve filters")
for i in range(0, 12, 2):
    name = "single filters" if i == 0 else None
    right.plot(range(0, 181, 2), answers[:, 0, 0, i], color=GRAY, lw=1, alpha=0.8, label=name)
right.plot(range(0, 181, 2), best, color=ORANGE, lw=2.5, label="largest of all twelve")
right.set(xlabel="angle of the bar in degrees", ylabel="answer", ylim=(0, 1.25))
right.legend(loc="upper center", ncols=2)
plt.show()

# %% [markdown]
# ## A trained network
#
# Two stages of convolution, detector and pooling, then one dense layer, trained on handwritten digits of
# 8 × 8 pixels. Nobody told it which kernels to use.

# %%
digits = data.load("digits")
assert digits.test is not None
classifier = models.conv_net(
    digits.inputs, 10, stages=[models.Stage(16, kernel=5, pool=2), models.Stage(32, pool=2)]
)
recipe = Recipe(classifier, outputs.cross_entropy, {}, optimizer("adam", 0.003))
trained = fit(recipe, digits.train, steps=400, batch_size=64, seeds=[0], convolutions=True)
guesses = predict(classifier, trained.params, digits.test.x)[0].argmax(-1)
size = analysis.count(classifier, digits.test.x[:1])
print(f"{size.parameters:,} parameters, {size.multiply_adds:,} multiply-adds for one digit")
print(f"right on {np.mean(guesses == digits.test.y):.1%} of {len(guesses)} test digits")

# %% [markdown]
# Its sixteen first kernels, and what each finds in a few digits after the detector. At 8 × 8 pixels no kernel
# is as clean as those set by hand above, and no two are alike: each map lights up at a few places of its
# own, some along one side of a stroke, some where strokes of one direction end, and is dark elsewhere.

# %%
params = jax.tree.map(lambda leaf: leaf[0], trained.params)
first = params.stages[0][0].convolution
chosen = [int(np.flatnonzero(digits.test.y == label)[0]) for label in (0, 3, 4, 7)]
maps = jax.nn.relu(layers.conv(first, jnp.asarray(digits.test.x[chosen])))
figure, axes = plt.subplots(5, 17, figsize=(10, 3.4), layout="constrained")
draw(axes[0, 0], np.full((5, 5, 3), 1.0))
largest = float(jnp.max(jnp.abs(first.K)))
for k in range(16):
    draw(axes[0, k + 1], first.K[:, :, 0, k], cmap="RdBu", vmin=-largest, vmax=largest)
for row, index, found_maps in zip(axes[1:], chosen, maps):
    draw(row[0], digits.test.x[index, :, :, 0])
    for k in range(16):
        draw(row[k + 1], found_maps[:, :, k], cmap="viridis", vmin=0)
axes[0, 0].set_ylabel("kernels", rotation=0, ha="right", va="center")
for row, index in zip(axes[1:], chosen):
    row[0].set_ylabel(f"a {digits.test.y[index]}", rotation=0, ha="right", va="center")
plt.show()

# %% [markdown]
# ## A label for every pixel
#
# Without its last dense layer the network gives maps, and a map can have one class for each pixel of the
# image. The scenes below are put together from digits, over one another and over fragments that belong to
# no class, so that the right answer is known for every pixel. To tell a stroke of a 3 from a stroke of
# a 2, an output has to see the whole digit: the network goes down to a coarse grid and back up, with
# shortcuts for the fine detail.

# %%
STEPS = 700
easy = {"classes": 4, "size": (20, 20), "object_size": (12, 14), "objects": (1, 2), "noise": 0.05}
scenes = data.load("scenes", clutter=2, **easy)
assert scenes.test is not None
labeler = models.pixel_labeler(scenes.inputs, scenes.outputs, channels=(8, 24, 64))
recipe = Recipe(labeler, outputs.cross_entropy, {}, optimizer("adam", 0.01, factor=one_cycle(STEPS)))
learned = fit(recipe, scenes.train, steps=STEPS, batch_size=16, seeds=[0], convolutions=True).params
truth, labels = scenes.test.y, predict(labeler, learned, scenes.test.x)[0].argmax(-1)
overlap = outputs.segmentation.mean_iou(outputs.segmentation.confusion(labels, truth, scenes.outputs))
print(f"right on {np.mean(labels == truth):.1%} of all pixels ({np.mean(truth == 0):.1%} are background)")
print(f"right on {np.mean((labels == truth)[truth > 0]):.1%} of the pixels of digits")
print(f"intersection over union, the mean of {scenes.outputs} classes: {overlap:.1%}")

# %%
colors = ("#1F1F1F", BLUE, ORANGE, GREEN, PURPLE)
masks = {"cmap": ListedColormap(colors), "vmin": 0, "vmax": 4}
figure, axes = plt.subplots(4, 6, figsize=(9, 6.4), layout="constrained")
for i, row in enumerate(axes.reshape(8, 3)):
    draw(row[0], scenes.test.x[i, :, :, 0])
    draw(row[1], truth[i], **masks)
    draw(row[2], labels[i], **masks)
for ax, name in zip(axes[0], ("scene", "true mask", "predicted mask") * 2):
    ax.set_title(name, fontsize=10)
keys = [Patch(color=c, label=name) for c, name in zip(colors, scenes.classes)]
figure.legend(handles=keys, loc="outside lower center", ncols=5)
plt.show()

# %% [markdown]
# These are the first eight test scenes. Fragments stay background, and a digit that stands alone is found
# whole, at most its hole is filled. The errors are mostly where one digit lies over another: what is left
# of the lower one is given to the upper one, or to a class that is not there.

# %% [markdown]
# ## One operation for many kinds of data
#
# `layers.convolve` reads the number of dimensions off its input. Six kinds of data that the notes list
# follow, each with one kernel chosen for what it should find. All but the photograph are made here.
#
# One dimension: a sound wave, in which a kernel shaped like a short tone finds that tone in noise; and the
# angles of three joints of a walking figure, three channels that one kernel looks at together.

# %%
rng = np.random.default_rng(0)
RATE = 4000
time = np.arange(RATE) / RATE
tone = np.exp(-0.5 * ((time - 0.6) / 0.04) ** 2) * np.sin(2 * np.pi * 440 * time)
wave = (0.7 * tone + 0.35 * rng.normal(size=RATE)).astype(np.float32)
t = np.arange(-100, 101) / RATE
pair = np.exp(-0.5 * (t / 0.02) ** 2) * np.stack([np.cos(2 * np.pi * 440 * t), np.sin(2 * np.pi * 440 * t)])
heard = layers.convolve(jnp.asarray(wave)[None, :, None], jnp.asarray(pair.T[:, None], jnp.float32))
loudness = jnp.linalg.norm(heard[0], axis=-1)

steps = np.arange(400) / 100
pace = 2 * np.pi * np.where(steps < 2, steps, 2 + 1.5 * (steps - 2))  # from the third second on faster
angles = np.stack([25 * np.sin(pace), 30 * np.maximum(0, np.sin(pace + 1)), 12 * np.sin(2 * pace)], -1)
angles = (angles + 2 * rng.normal(size=angles.shape)).astype(np.float32)
pattern = angles[10:60] - angles[10:60].mean(0)  # half a second, all three joints
match = layers.convolve(jnp.asarray(angles)[None], jnp.asarray(pattern / (pattern**2).sum())[:, :, None])[0]

figure, axes = plt.subplots(2, 2, figsize=(9, 3.8), sharex="col", layout="constrained")
axes[0, 0].plot(time, wave, color=GRAY, lw=0.4)
axes[0, 0].set_title("a wave: a tone of 440 Hz in noise", fontsize=10)
axes[1, 0].plot(time, loudness, color=ORANGE)
axes[1, 0].set(xlabel="seconds", ylabel="answer")
for channel, color_of, name in zip(angles.T, (BLUE, GREEN, PURPLE), ("hip", "knee", "ankle")):
    axes[0, 1].plot(steps, channel, color=color_of, lw=1.2, label=name)
axes[0, 1].set_title("motion: three angles, one kernel over all", fontsize=10)
axes[0, 1].set_ylim(-60, 50)
axes[0, 1].legend(ncols=3, fontsize=8, loc="lower left")
axes[1, 1].plot(steps, match, color=ORANGE)
axes[1, 1].set(xlabel="seconds", ylabel="answer")
plt.show()

# %% [markdown]
# The tone stands out of noise in which the eye hardly sees it. The motion's kernel is half a second of the
# walk itself; it answers once in every stride, also after two seconds, where the pace quickens.
#
# Two dimensions: in a spectrogram one axis is time and the other frequency. A kernel that is a rising call
# finds the call later, and higher: a convolution is equivariant to both shifts. In a color image a kernel
# has a weight for each of the three channels: this one looks for red on neither green nor blue.

# %%
seconds = np.arange(2 * RATE) / RATE


def call(begin, low):
    """A tone that rises by 400 Hz within 0.3 s."""
    s = np.clip(seconds - begin, 0, 0.3)
    return np.sin(2 * np.pi * (low * s + 400 / 0.6 * s**2)) * (s > 0) * (s < 0.3)


sound = call(0.2, 300) + call(0.9, 300) + call(1.4, 900) + 0.3 * rng.normal(size=len(seconds))
spectrogram = np.asarray(spectrogram_of(sound, window=256, hop=32), np.float32)
bins, frames = 27, 41  # 420 Hz and 0.33 s
template = spectrogram[17 : 17 + bins, 23 : 23 + frames]
template = jnp.asarray(template - template.mean())
calls = filtered(jnp.asarray(spectrogram), template / jnp.sum(template**2))

red = jnp.asarray([1.0, -0.5, -0.5]).reshape(1, 1, 3, 1) * jnp.ones((5, 5, 1, 1)) / 25
reds = jax.nn.relu(layers.convolve(color[None], red))[0, :, :, 0]

figure, axes = plt.subplots(2, 2, figsize=(9, 4.6), layout="constrained")
extent = (0, spectrogram.shape[1] * 32 / RATE, 0, RATE / 2)
for ax, image, name in (
    (axes[0, 0], spectrogram, "three calls, the last one higher"),
    (axes[1, 0], calls, ""),
):
    show = {"origin": "lower", "aspect": "auto", "extent": extent, "cmap": "magma"}
    draw(ax, image, name, **show, **({"vmin": 0} if image is calls else {}))
    ax.set(xticks=(0, 0.5, 1, 1.5), yticks=(0, 1000, 2000), ylabel="Hz")
axes[1, 0].set_xlabel("seconds; the answer of the kernel")
draw(axes[0, 1], color, "a color image")
draw(axes[1, 1], reds, cmap="Reds", vmin=0)
axes[1, 1].set_xlabel("where it is red")
plt.show()

# %% [markdown]
# A melody in another octave is a shift too, along log frequency: `data.log_spectrogram` has a row for
# each semitone, and an octave is twelve rows. The same kernel gives the same answer, twelve rows higher.
# Along linear frequencies the distances between the notes would double.

# %%
notes = np.concatenate([np.sin(2 * np.pi * 233 * 2 ** (n / 12) * time[:1600]) for n in (0, 4, 7, 5)])
octave = np.concatenate([np.sin(2 * np.pi * 466 * 2 ** (n / 12) * time[:1600]) for n in (0, 4, 7, 5)])
heights = [data.log_spectrogram(w, rate=RATE, lowest=220, octaves=3, hop=80) for w in (notes, octave)]
edge = jnp.asarray([-0.5, 1.0, -0.5], jnp.float32).reshape(3, 1, 1, 1)
answers = [jax.nn.relu(layers.convolve(jnp.asarray(h)[None, ..., None], edge))[0, ..., 0] for h in heights]
apart = jnp.abs(answers[1][13:-1] - answers[0][1:-13])[:, 5::20].max()
print(f"answers in the middle of the notes differ by at most {apart:.3f}, of at most {answers[0].max():.2f}")

figure, axes = plt.subplots(1, 4, figsize=(9, 2.4), sharey=True, layout="constrained")
for ax, image, name in zip(
    axes, (*heights, *answers), ("a melody", "an octave higher", "answer of a kernel", "the same, higher")
):
    draw(ax, image, name, origin="lower", aspect="auto", cmap="magma")
axes[0].set(yticks=(0, 12, 24), ylabel="semitones above 220 Hz")
plt.show()

# %% [markdown]
# Three dimensions: a volume, here with two balls and two rods in noise, in which a kernel shaped like a ball
# with a negative shell prefers the balls; and a video, whose first axis is time. The kernel that adds up what
# moves right by one pixel a frame, minus what moves left, tells apart two digits that no single frame does.

# %%
z, y, x = np.mgrid[:32, :48, :48]
volume = 0.5 * rng.normal(size=z.shape)
for cy, cx in ((14, 12), (34, 36)):
    volume += (z - 16) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < 25
    volume += (y - 48 + cy) ** 2 + (x - cx) ** 2 < 6  # a rod along the first axis
distance = np.sqrt(sum(axis**2 for axis in np.mgrid[-8:9, -8:9, -8:9]))
ball = np.where(
    distance < 5,
    1 / (distance < 5).sum(),
    np.where(distance < 8, -1 / ((distance < 8) & (distance >= 5)).sum(), 0),
)
found_balls = layers.convolve(
    jnp.asarray(volume, jnp.float32)[None, ..., None], jnp.asarray(ball, jnp.float32)[..., None, None]
)[0, ..., 0]

two = [digits.train.x[int(np.flatnonzero(digits.train.y == label)[0]), :, :, 0] for label in (3, 5)]
video = np.zeros((16, 24, 40), np.float32)
for frame in range(16):
    video[frame, 2:10, 4 + frame : 12 + frame] += np.maximum(two[0], 0)
    video[frame, 14:22, 28 - frame : 36 - frame] += np.maximum(two[1], 0)
mover = np.zeros((5, 1, 5), np.float32)
for frame in range(5):
    mover[frame, 0, frame] += 0.2
    mover[frame, 0, 4 - frame] -= 0.2
flow = layers.convolve(jnp.asarray(video)[None, ..., None], jnp.asarray(mover)[..., None, None])[0, ..., 0]

figure, axes = plt.subplots(2, 3, figsize=(9, 4.6), layout="constrained")
draw(axes[0, 0], volume[16], "a slice of the volume")
draw(axes[1, 0], found_balls[16], vmin=0, cmap="magma")
axes[1, 0].set_xlabel("answer to balls")
for ax, frame in zip(axes[0, 1:], (2, 13)):
    draw(ax, video[frame], f"a video, frame {frame}", vmin=0)
for ax, frame in zip(axes[1, 1:], (2, 13)):
    draw(ax, flow[frame], cmap="RdBu", vmin=-2, vmax=2)
    ax.set_xlabel("blue: to the right, red: to the left")
plt.show()
