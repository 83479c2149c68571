"""fastbox beside runc, crun, bubblewrap and docker: same root, same restrictions, one run."""
