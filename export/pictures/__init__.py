"""Pictures that lie elsewhere than in a folder of this machine."""
