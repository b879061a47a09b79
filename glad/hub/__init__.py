"""The Hugging Face Hub: a distilled set with its card, published."""
