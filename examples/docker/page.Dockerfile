# The page `keras-t2i play`. In the folder of a clone:
#
#   docker build --file examples/docker/page.Dockerfile --tag keras-t2i-page .
FROM python:3.13.5-slim-bookworm

WORKDIR /source
COPY setup.cfg pyproject.toml MANIFEST.in README.md LICENSE ./
COPY keras_t2i keras_t2i
RUN pip install --no-cache-dir ".[play]"

# Matplotlib, Keras and Gradio write there.
ENV HOME=/tmp
WORKDIR /tmp
USER 65534:65534
EXPOSE 7860
ENTRYPOINT ["keras-t2i", "play"]
CMD ["--host", "0.0.0.0"]
