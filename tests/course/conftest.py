"""Puts the folder of the course where a reader's Python finds its exercises."""

import sys

import chapters

sys.path.insert(0, str(chapters.COURSE))
