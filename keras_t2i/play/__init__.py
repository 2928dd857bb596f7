"""A page to play with a trained GAN: `keras-t2i play`."""
