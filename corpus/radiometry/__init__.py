"""How alike the radiometry of two corpora is: histograms, autocorrelation, looks, correlation of polarisations."""
