"""Prepare what callers send in one service, and predict in another that takes nothing but finished tensors."""
