"""The public names of kerasinit.lottery.report; see ``report.py``."""

from kerasinit._src.lottery.report.exports import rows as rows
from kerasinit._src.lottery.report.exports import write_csv as write_csv
from kerasinit._src.lottery.report.exports import write_curves as write_curves
from kerasinit._src.lottery.report.exports import write_outputs as write_outputs
from kerasinit._src.lottery.report.exports import write_tensorboard as write_tensorboard
from kerasinit._src.lottery.report.mask_plots import mask_figure as mask_figure
from kerasinit._src.lottery.report.means import table as table
from kerasinit._src.lottery.report.plots import curve_figure as curve_figure
from kerasinit._src.lottery.report.plots import figure as figure
from kerasinit._src.lottery.report.plots import plot as plot
from kerasinit._src.lottery.report.plots import write_plot as write_plot
from kerasinit._src.lottery.report.run_page import page as page
from kerasinit._src.lottery.report.run_page import write_page as write_page
