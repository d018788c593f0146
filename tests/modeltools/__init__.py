"""What the model-based tests share: a small site, pages that lie and lose answers, requests that stand still."""
