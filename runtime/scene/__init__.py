"""Can this picture be judged at all?"""
