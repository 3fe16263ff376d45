//! Reports, plots, metric files and terminal progress.
