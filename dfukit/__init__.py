from dfukit.hookspecs import hookimpl
