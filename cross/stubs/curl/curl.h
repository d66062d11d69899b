/* Empty on purpose: librdkafka 2.12 includes <curl/curl.h> under #ifdef of a macro that its cmake build
   defines as 0, so the header has to be there even where nothing of it is used. */
