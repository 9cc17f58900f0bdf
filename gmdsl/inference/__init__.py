"""The contracts of sampling: target, sampler, adapter, generator, path. Nothing here samples."""
