# %% [markdown]
# # A map of the ensemble, and a picture of what arrived
#
# Needs matplotlib. Run it as a script or as a notebook: `python map_and_coverage.py FILES... [--output DIRECTORY]`.

# %%
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.colors import ListedColormap

import gribchunk
from gribchunk.coverage import STATES

output = pathlib.Path(sys.argv[-1] if "--output" in sys.argv else ".")
files = sys.argv[1 : sys.argv.index("--output")] if "--output" in sys.argv else sys.argv[1:]

# %% [markdown]
# A cube for the whole run; all files but the last have arrived.

# %%
repository = gribchunk.create(output / "run", sources=files)
report = repository.ingest(sorted(files)[:-1], materialise="variable=tp")
print(report)
dataset = xr.open_dataset(repository, engine="gribchunk")

# %% [markdown]
# Mean and spread of the temperature, and the probability of more than 5 mm of precipitation: every slot that is needed
# is read in parallel; members that are not there are NaN and drop out.

# %%
step = dataset.t2m.isel(time=0).notnull().any(["number", "latitude", "longitude"]).values.nonzero()[0][-1]
temperature = dataset.t2m.isel(time=0, step=step).load()
figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
temperature.mean("number").plot(ax=axes[0])
axes[0].set_title("mean of t2m")
temperature.std("number").plot(ax=axes[1])
axes[1].set_title("spread of t2m")
figure.savefig(output / "map.png")

rain = dataset.tp.isel(time=0, step=step).load()
probability = (rain > 0.005).where(rain.notnull()).mean("number") * 100
print(f"precipitation above 5 mm: up to {float(probability.max()):.0f} % of the members")

# %% [markdown]
# What arrived: a row for each variable and member, a column for each step. No data are read for this.

# %%
coverage = repository.coverage()
rows, labels = [], []
for name, states in coverage.data_vars.items():
    first = states.isel({dimension: 0 for dimension in states.dims if dimension not in ("step", "number")})
    rows += list(first.transpose("number", "step").values)
    labels += [f"{name} {member}" for member in first.number.values]
figure, axis = plt.subplots(figsize=(6, len(rows) / 5), layout="constrained")
colours = ListedColormap(["white", "lightgrey", "skyblue", "seagreen", "firebrick", "orange"])
image = axis.imshow(rows, cmap=colours, vmin=-0.5, vmax=len(STATES) - 0.5, aspect="auto", interpolation="none")
axis.set_yticks(range(len(labels)), labels, fontsize=6)
hours = coverage.step.values.astype("timedelta64[h]").astype(int)
axis.set_xticks(range(len(hours)), [f"{hour} h" for hour in hours])
bar = figure.colorbar(image, ticks=range(len(STATES)))
bar.ax.set_yticklabels(list(STATES))
figure.savefig(output / "coverage.png")
