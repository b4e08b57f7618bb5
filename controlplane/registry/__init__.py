"""Services and the workloads behind them, from whatever kind of resource says so."""
