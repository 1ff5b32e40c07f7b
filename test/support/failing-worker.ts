// A worker file that cannot be loaded.

throw new Error("bad module state");
