"""A data set in KnowUnDo's form (Tian et al. 2024, arXiv:2407.01920) out of names and a chat model."""
