"""The Dockerfile language: text -> nodes -> typed instructions, each module usable alone. Nothing
here knows of stores, images or builds.
"""
