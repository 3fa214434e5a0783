"""The competing methods of the literature behind one interface: `Method.fit(view, key).predict(view)`."""
