"""The compiled kernel: what happens during a day. Knows no Day, no file and no Gymnasium."""
