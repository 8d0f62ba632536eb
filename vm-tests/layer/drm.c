// A Vulkan layer for tests. gamescope wants to know the DRM node of its device (VK_EXT_physical_device_drm), and Mesa's
// software device has none to tell. This layer says that it has that extension, and names the nodes of vgem.
//
// Written from the Vulkan specification and its loader's interface for layers. It knows one instance and one device.

#include <stdlib.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#define LAYER "VK_LAYER_LUMEN_test_drm"
#define EXTENSION VK_EXT_PHYSICAL_DEVICE_DRM_EXTENSION_NAME
#define EXPORT __attribute__((visibility("default")))

enum { DRM_MAJOR = 226, PRIMARY_MINOR = 0, RENDER_MINOR = 128 };

static VkInstance instance;
static PFN_vkGetInstanceProcAddr next_of_instance;
static PFN_vkGetDeviceProcAddr next_of_device;

// The entry of the chain that links to the next layer; it differs in its type for instances and devices.
static void *link_in(const void *chain, VkStructureType type) {
  const VkLayerInstanceCreateInfo *info = chain;
  while (info && !(info->sType == type && info->function == VK_LAYER_LINK_INFO)) info = info->pNext;
  return (void *)info;
}

static VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *allocator,
                                           VkInstance *made) {
  VkLayerInstanceCreateInfo *link = link_in(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;
  next_of_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  PFN_vkCreateInstance next = (PFN_vkCreateInstance)next_of_instance(NULL, "vkCreateInstance");
  VkResult result = next(info, allocator, made);
  if (result == VK_SUCCESS) instance = *made;
  return result;
}

static VkResult VKAPI_CALL extensions(VkPhysicalDevice device, const char *layer, uint32_t *count,
                                      VkExtensionProperties *into) {
  if (layer && !strcmp(layer, LAYER)) {
    *count = 0;
    return VK_SUCCESS;
  }
  PFN_vkEnumerateDeviceExtensionProperties next =
      (PFN_vkEnumerateDeviceExtensionProperties)next_of_instance(instance, "vkEnumerateDeviceExtensionProperties");
  if (layer) return next(device, layer, count, into);
  uint32_t own = 0;
  VkResult result = next(device, NULL, &own, NULL);
  if (result != VK_SUCCESS) return result;
  if (!into) {
    *count = own + 1;
    return VK_SUCCESS;
  }
  VkExtensionProperties *all = calloc(own + 1, sizeof *all);
  if (!all) return VK_ERROR_OUT_OF_HOST_MEMORY;
  result = next(device, NULL, &own, all);
  if (result == VK_SUCCESS) {
    strcpy(all[own].extensionName, EXTENSION);
    all[own].specVersion = 1;
    if (*count < own + 1) {
      result = VK_INCOMPLETE;
    } else {
      *count = own + 1;
    }
    memcpy(into, all, *count * sizeof *all);
  }
  free(all);
  return result;
}

static void VKAPI_CALL properties(VkPhysicalDevice device, VkPhysicalDeviceProperties2 *into) {
  PFN_vkGetPhysicalDeviceProperties2 next =
      (PFN_vkGetPhysicalDeviceProperties2)next_of_instance(instance, "vkGetPhysicalDeviceProperties2");
  next(device, into);
  for (VkBaseOutStructure *more = into->pNext; more; more = more->pNext) {
    if (more->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRM_PROPERTIES_EXT) continue;
    VkPhysicalDeviceDrmPropertiesEXT *drm = (VkPhysicalDeviceDrmPropertiesEXT *)more;
    drm->hasPrimary = drm->hasRender = VK_TRUE;
    drm->primaryMajor = drm->renderMajor = DRM_MAJOR;
    drm->primaryMinor = PRIMARY_MINOR;
    drm->renderMinor = RENDER_MINOR;
  }
}

// The device itself must not hear of an extension that it lacks.
static VkResult VKAPI_CALL create_device(VkPhysicalDevice device, const VkDeviceCreateInfo *info,
                                         const VkAllocationCallbacks *allocator, VkDevice *made) {
  VkLayerDeviceCreateInfo *link = link_in(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
  if (!link) return VK_ERROR_INITIALIZATION_FAILED;
  PFN_vkGetInstanceProcAddr next_link = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  next_of_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  const char **wanted = calloc(info->enabledExtensionCount + 1, sizeof *wanted);
  if (!wanted) return VK_ERROR_OUT_OF_HOST_MEMORY;
  uint32_t count = 0;
  for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
    const char *name = info->ppEnabledExtensionNames[i];
    if (strcmp(name, EXTENSION)) wanted[count++] = name;
  }
  VkDeviceCreateInfo changed = *info;
  changed.enabledExtensionCount = count;
  changed.ppEnabledExtensionNames = wanted;
  PFN_vkCreateDevice next = (PFN_vkCreateDevice)next_link(instance, "vkCreateDevice");
  VkResult result = next(device, &changed, allocator, made);
  free(wanted);
  return result;
}

static PFN_vkVoidFunction VKAPI_CALL of_device(VkDevice device, const char *name) {
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)of_device;
  return next_of_device(device, name);
}

static PFN_vkVoidFunction VKAPI_CALL of_instance(VkInstance asked, const char *name) {
  const struct {
    const char *name;
    PFN_vkVoidFunction function;
  } ours[] = {
      {"vkGetInstanceProcAddr", (PFN_vkVoidFunction)of_instance},
      {"vkGetDeviceProcAddr", (PFN_vkVoidFunction)of_device},
      {"vkCreateInstance", (PFN_vkVoidFunction)create_instance},
      {"vkCreateDevice", (PFN_vkVoidFunction)create_device},
      {"vkEnumerateDeviceExtensionProperties", (PFN_vkVoidFunction)extensions},
      {"vkGetPhysicalDeviceProperties2", (PFN_vkVoidFunction)properties},
      {"vkGetPhysicalDeviceProperties2KHR", (PFN_vkVoidFunction)properties},
  };
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
    if (!strcmp(name, ours[i].name)) return ours[i].function;
  }
  return next_of_instance ? next_of_instance(asked, name) : NULL;
}

EXPORT VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *agreed) {
  agreed->loaderLayerInterfaceVersion = 2;
  agreed->pfnGetInstanceProcAddr = of_instance;
  agreed->pfnGetDeviceProcAddr = of_device;
  agreed->pfnGetPhysicalDeviceProcAddr = NULL;
  return VK_SUCCESS;
}
