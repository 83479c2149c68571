"""fastbox beside runc, crun, bubblewrap and docker: same root file system, same restrictions, one run."""
