"""The certificate authority: who a workload is, and the certificate that says so."""
